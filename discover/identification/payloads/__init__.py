"""What logs carried beside the robot: told, fitted with the robot's bodies, or noticed."""
