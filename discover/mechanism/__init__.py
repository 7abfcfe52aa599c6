"""A robot from answers alone: its tree, joints, geometry, factors and recursion.

local_dynamics  mass matrix and bias force of a black box at chosen states
tree            which joint carries which; trees with a free base
geometry        screws, their uncertainty and gauge; robots and bodies from them
inference       all of that in order; `free_base` with a free base
factorisation   the zeros that the tree predicts in H = Lᵀ D L
recursion       the program that computes tau: grammar, search, forward dynamics
description     the result as plain numbers
"""
