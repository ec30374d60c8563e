"""Workflows: one process manager a case, pure decisions on (case, event), timers included."""
