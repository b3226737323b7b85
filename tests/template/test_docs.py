"""What the documents say of the template in numbers and names."""

import json
import re

import render
from stacks import Stacks, metrics_shown

AWS = (render.ROOT / "docs/AWS.md").read_text()


def rows(heading):
    """Cells of the first table below a heading."""
    section = AWS.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = re.search(r"(?m)(^\|.*\n)+", section).group()
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


class Documents(Stacks):
    def test_costs_add_up(self):
        *parts, total = rows("What a million downloads a month costs")
        self.assertEqual(total[0], "together")
        cents = [round(float(own[2]) * 100) for own in parts]
        self.assertEqual(sum(cents), round(float(total[2]) * 100))
        self.assertIn(f"(${round(float(total[2]))} a month,", (render.ROOT / "README.md").read_text())

    def test_alarms_and_the_dashboard_cost_what_is_said(self):
        costs = {own[0]: own[1:] for own in rows("What a million downloads a month costs")}
        stack = self.stacks["everything, own keys"]
        alarms = stack.of_type("AWS::CloudWatch::Alarm").values()
        metrics = sum(len([own for own in alarm.get("Metrics", [{}]) if "Expression" not in own]) for alarm in alarms)
        said = [f"{metrics} metrics in {len(alarms)} alarms × $0.10", f"{metrics / 10:.2f}"]
        self.assertEqual(costs["CloudWatch alarms"], said)
        # Three dashboards are free that show 50 metrics at most; this one shows more.
        (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
        widgets = json.loads(dashboard["DashboardBody"])["widgets"]
        self.assertGreater(len({metric for widget in widgets for metric in metrics_shown(widget)}), 50)
        self.assertEqual(costs["CloudWatch dashboard"], ["1 × $3.00", "3.00"])

    def test_each_alarm_is_explained(self):
        explained = [name for own in rows("What each alarm means, and what to do") for name in re.findall(r"`(\w+)`", own[0])]
        self.assertEqual(sorted(explained), sorted(self.stacks["everything, own keys"].of_type("AWS::CloudWatch::Alarm")))
