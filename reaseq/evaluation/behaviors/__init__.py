"""Inferred behaviours to look at: one user's on a timeline, and those of a whole run against what came of them.

    inferred     the table as flat arrays, and what log and world know of each inferred behaviour
    timeline     one user's log and inferences in one order of time; `user_page` shows it
    measures     calibration, novelty, diversity, places of slots, categories
    sweep        recall of the future by reverse steps and guidance, with the run's own denoiser
    run_page     shows both

Import from the modules: those of a run bring torch along, those of a user don't.
"""
