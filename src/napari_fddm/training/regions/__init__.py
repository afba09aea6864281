"""Regions for stage 2: stage 1's map beside the true one."""
