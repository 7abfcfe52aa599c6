"""Contact: scenes of simple shapes on a robot's bodies, their gaps, and the laws of touching.

scene = kinematics.contact.load("hopper.xml")
scene = kinematics.contact.Scene([Point("foot", radius=0.02)], [HalfSpace()])
c = kinematics.contact.contacts(robot, scene, q)
"""

from kinematics.contact.geometry import Contacts, contacts, invweight
from kinematics.contact.law import Hard, Soft
from kinematics.contact.reading import load
from kinematics.contact.scene import Pair, Scene
from kinematics.contact.shapes import Box, Capsule, Convex, Geom, HalfSpace, Material, Point
from kinematics.contact.step import MODES, Touching

__all__ = [
    "MODES",
    "Box",
    "Capsule",
    "Contacts",
    "Convex",
    "Geom",
    "HalfSpace",
    "Hard",
    "Material",
    "Pair",
    "Point",
    "Scene",
    "Soft",
    "Touching",
    "contacts",
    "invweight",
    "load",
]
