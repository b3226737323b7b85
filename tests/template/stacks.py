"""What the tests share: the stack of each case, and the names that the code knows."""

import functools
import re
import unittest

import render
from cases import CASES

VARIABLES = set(re.findall(r'\bv\("([A-Z_0-9]+)"', (render.ROOT / "audit-core/src/config/variables.rs").read_text()))
METRICS = set(re.findall(r'\("([a-z_]+)", "(?:Count|Seconds)"\)', (render.ROOT / "audit-core/src/emf.rs").read_text()))
FUNCTIONS = ["CloudTrailFunction", "DelivererFunction", "ReceiverFunction"]


def for_each_stack(test):
    """Makes a test of one stack a test of the stack of each case."""

    @functools.wraps(test)
    def run(self):
        for name, stack in self.stacks.items():
            with self.subTest(name):
                test(self, stack)

    return run


class Stacks(unittest.TestCase):
    """The stacks of all cases."""

    @classmethod
    def setUpClass(cls):
        cls.template = render.transformed()
        cls.stacks = {name: render.Stack(cls.template, given) for name, given in CASES.items()}


def metrics_shown(widget):
    """(namespace, name, dimension, value) of each metric of a widget that is no expression."""
    before = None
    for metric in widget["properties"].get("metrics", []):
        if isinstance(metric[0], str):
            # A dot repeats what the metric before has there.
            before = [old if new == "." else new for old, new in zip(before or metric[:4], metric[:4])]
            yield tuple(before)


def listed(value):
    return value if isinstance(value, list) else [value]
