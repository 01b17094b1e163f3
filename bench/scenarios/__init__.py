"""What is measured, a file a scenario, so named as MLPerf Inference names them where it has a name.

Every scenario warms up, lets its engines take turns (A B C A B C) so that a machine whose speed drifts treats all alike,
and gives medians with all single runs. Engines that are not on turn do nothing.
"""
