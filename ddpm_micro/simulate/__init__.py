"""Simulated micrographs whose truth and physics are known."""

from ddpm_micro.simulate.benchmark import NAMES, SETS, Pairs, make_pairs, split

__all__ = ["NAMES", "SETS", "Pairs", "make_pairs", "split"]
