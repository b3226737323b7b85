"""Alarms, dashboard, outputs and parameters of template.yaml."""

import json
import re

import tomlkit

import render
from cases import METERING
from stacks import FUNCTIONS, METRICS, Stacks, for_each_stack

AWS_METRICS = {
    "AWS/Lambda": {"Invocations", "Errors", "Throttles", "Duration", "Url4xxCount", "Url5xxCount"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"},
    "S3Audit": METRICS,
}
DIMENSIONS = {"AWS/Lambda": "FunctionName", "AWS/SQS": "QueueName", "S3Audit": "function"}
ALARMS = {
    "LogDeadLetterAlarm",
    "EntryDeadLetterAlarm",
    "LogAgeAlarm",
    "EntryAgeAlarm",
    "NoLogsAlarm",
    "QuarantineAlarm",
    "HeldAlarm",
    "UpstreamAlarm",
    "ErrorAlarm",
    "ThrottleAlarm",
    "ReceiverAlarm",
}


class Operations(Stacks):
    def is_metric_of(self, stack, namespace, name, dimension, value):
        """The metric is one that AWS or the functions write, of a resource of the stack."""
        self.assertIn(name, AWS_METRICS[namespace])
        self.assertEqual(dimension, DIMENSIONS[namespace], name)
        kind = "AWS::SQS::Queue" if namespace == "AWS/SQS" else "AWS::Lambda::Function"
        resource = re.fullmatch(r"\$\{([A-Za-z]+)(\.QueueName)?\}", value)
        self.assertIsNotNone(resource, value)
        self.assertIn(resource.group(1), stack.of_type(kind))

    def test_the_code_names_its_metrics_where_this_looks(self):
        self.assertLessEqual({"records", "held", "upstream_seconds", "oldest_seconds", "objects_read"}, METRICS)

    @for_each_stack
    def test_alarms_look_at_metrics_that_exist(self, stack):
        alarms = stack.of_type("AWS::CloudWatch::Alarm")
        quiet = str(stack.parameters["QuietHours"]) == "0"
        self.assertEqual(set(alarms), ALARMS - {"NoLogsAlarm"} if quiet else ALARMS)
        for name, alarm in alarms.items():
            self.assertIn(alarm["TreatMissingData"], ["notBreaching", "breaching"], name)
            self.assertEqual(alarm["TreatMissingData"] == "breaching", name == "NoLogsAlarm", name)
            if "Metrics" not in alarm:
                (dimension,) = alarm["Dimensions"]
                own = (alarm["Namespace"], alarm["MetricName"], dimension["Name"], dimension["Value"])
                self.is_metric_of(stack, *own)
                continue
            ids = {own["Id"] for own in alarm["Metrics"]}
            (told,) = [own for own in alarm["Metrics"] if own.get("ReturnData", True)]
            self.assertEqual(set(re.findall(r"\b[a-z]\d\b", told["Expression"])) | {told["Id"]}, ids, name)
            for own in alarm["Metrics"]:
                if "MetricStat" in own:
                    metric = own["MetricStat"]["Metric"]
                    (dimension,) = metric["Dimensions"]
                    parts = (metric["Namespace"], metric["MetricName"], dimension["Name"], dimension["Value"])
                    self.is_metric_of(stack, *parts)

    @for_each_stack
    def test_alarms_reach_the_topic_if_there_is_one(self, stack):
        topic = {
            "an existing bucket": None,
            "an existing bucket that notifies": [stack.parameters["AlarmTopicArn"]],
            "everything, own keys": ["${AlarmTopic}"],
        }
        expected = topic[next(name for name, own in self.stacks.items() if own is stack)]
        for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
            self.assertEqual((alarm.get("AlarmActions"), alarm.get("OKActions")), (expected, expected), name)
        self.assertEqual("AlarmTopicArn" in stack.outputs, expected is not None)

    @for_each_stack
    def test_each_queue_and_function_is_watched(self, stack):
        text = json.dumps(stack.of_type("AWS::CloudWatch::Alarm"))
        for name in list(stack.of_type("AWS::SQS::Queue")) + FUNCTIONS:
            self.assertRegex(text, r"\$\{" + name + r"(\.QueueName)?\}")

    @for_each_stack
    def test_the_dashboard_shows_metrics_that_exist(self, stack):
        (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
        widgets = json.loads(dashboard["DashboardBody"])["widgets"]
        places = [(own["x"], own["y"]) for own in widgets]
        self.assertEqual(len(places), len(set(places)))
        shown = set()
        for widget in widgets:
            self.assertLessEqual(widget["x"] + widget["width"], 24)
            own = widget["properties"]
            if widget["type"] == "alarm":
                self.assertEqual({alarm[2:-5] for alarm in own["alarms"]}, ALARMS - {"NoLogsAlarm"})
                continue
            self.assertEqual(own["region"], render.PSEUDO["AWS::Region"])
            before = None
            for metric in own["metrics"]:
                if isinstance(metric[0], dict):
                    # In quotes, since a value without them finds every function whose name has these words in it.
                    search = r"^SEARCH\('\{S3Audit,function,reason\} function=\"\$\{(\w+)\}\"', 'Sum', 300\)$"
                    self.assertRegex(metric[0]["expression"], search)
                    self.assertIn(re.match(search, metric[0]["expression"]).group(1), FUNCTIONS)
                    continue
                # A dot repeats what the metric before has there.
                parts = [old if new == "." else new for old, new in zip(before or metric[:4], metric[:4])]
                self.is_metric_of(stack, *parts)
                shown.add(parts[1])
                before = parts
        self.assertEqual(METRICS - shown, set(), "metrics that nobody sees")

    @for_each_stack
    def test_outputs_say_where_to_go(self, stack):
        values = {name: own["Value"] for name, own in stack.outputs.items()}
        self.assertEqual(values["WebhookUrl"], "${ReceiverFunctionUrl.FunctionUrl}auditlogs/processor")
        self.assertTrue(values["DashboardUrl"].endswith("#dashboards/dashboard/${Dashboard}"))
        urls = {name for name in values if name.endswith("QueueUrl")}
        self.assertEqual(urls, {"LogQueueUrl", "LogDeadLetterQueueUrl", "EntryQueueUrl", "EntryDeadLetterQueueUrl"})
        token = stack.parameters["WebhookAuthTokenArn"] or "${WebhookToken}"
        self.assertEqual(values["WebhookTokenArn"], token)
        variables = stack.resources["ReceiverFunction"]["Properties"]["Environment"]["Variables"]
        self.assertEqual(variables["WEBHOOK_AUTH_TOKEN_ARN"], token)


class Parameters(Stacks):
    def test_each_parameter_is_described_grouped_checked_and_used(self):
        template = render.source()
        groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        grouped = [name for group in groups for name in group["Parameters"]]
        self.assertEqual(sorted(grouped), sorted(template["Parameters"]))
        text = json.dumps([template[part] for part in ["Conditions", "Globals", "Resources"]])
        free = set()
        for name, own in template["Parameters"].items():
            self.assertTrue(own["Description"].rstrip().endswith("."), name)
            self.assertRegex(text, r'"Ref": "' + name + r'"|\$\{' + name + r"\}", name)
            if not {"AllowedPattern", "AllowedValues", "MinValue"} & set(own):
                free.add(name)
            elif own["Type"] == "String" and "AllowedPattern" in own and "Default" in own:
                self.assertRegex(own["Default"], own["AllowedPattern"], name)
        # Ids, globs and templates of any form; the functions check them at their start.
        self.assertEqual(
            free,
            {"ClientId", "ClientSecret", "AuthItemId", "PlausibleInclude", "PlausibleExclude", "PathTemplate"},
        )

    def test_patterns_take_what_is_right_and_nothing_else(self):
        arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a-b"
        examples = {
            "LogBucketName": (["logs", "my.logs-1"], ["Logs", "a", "logs/", ""]),
            "LogKeyPrefix": (["", "AWSLogs/", "org/AWSLogs/o-1/"], ["a*", "a?", "a\\", "${a}"]),
            "LogKmsKeyArn": (["", "arn:aws:kms:eu-central-1:123456789012:key/a-1"], ["alias/a", "a"]),
            "TrailDataArns": (
                ["", "arn:aws:s3:::scenes/", "arn:aws-cn:s3:::a.b/public/"],
                ["scenes", "arn:aws:s3:::scenes", "arn:aws:s3:::*", "arn:aws:s3:::scenes/*", "arn:aws:s3:::"],
            ),
            "ProcessApiUrl": (["", "https://rs.example/processes/1/execution"], ["rs.example", "https://a b"]),
            "ClientSecretArn": (["", arn], ["a", arn.replace("secretsmanager", "ssm")]),
            "WebhookAuthTokenArn": (["", arn], ["a"]),
            "AnonymousUserId": (["", "0b1f6c3e-3c45-4b5e-9d5c-2f1f6f0c7a11"], ["0b1f6c3e", "user"]),
            "UserIdParam": (["userId", "x-userId"], ["a b", "a=b", ""]),
            "PlausibleMaxAge": (["1h", "90", "30m"], ["0h", "1w", "h"]),
            "AlarmEmail": (["", "a@b.example"], ["a", "a@b@c"]),
            "AlarmTopicArn": (["", "arn:aws:sns:eu-central-1:123456789012:a"], ["a"]),
        }
        for name, (right, wrong) in examples.items():
            pattern = self.template["Parameters"][name]["AllowedPattern"]
            for value in right:
                self.assertRegex(value, pattern, name)
            for value in wrong:
                self.assertNotRegex(value, pattern, name)

    def test_rules_ask_for_what_belongs_together(self):
        bucket = {"LogBucketName": "logs"}
        metering = {**bucket, **METERING, "ClientSecret": "a-secret-of-the-test"}
        analytics = {**bucket, "PlausibleApiUrl": "https://plausible.example", "PlausibleDataDomain": "data.example"}
        trail = {**metering, "TrailDataArns": "arn:aws:s3:::scenes/,arn:aws:s3:::maps/"}
        prefix = {"LogKeyPrefix": "org/AWSLogs/"}
        for given in [metering, analytics, {**metering, **analytics}, trail, {**metering, **prefix}]:
            self.assertEqual(render.Stack(self.template, given).refusals, [], given)

        def without(given, name):
            return {own: value for own, value in given.items() if own != name}

        incomplete = [
            *((without(metering, name), name) for name in ["AuthUrl", "ClientId", "ClientSecret", "AuthItemId"]),
            (without(metering, "ClientSecret"), "ClientSecretArn"),
            (without(analytics, "PlausibleDataDomain"), "PlausibleDataDomain"),
            (bucket, "ProcessApiUrl"),
            (bucket, "PlausibleApiUrl"),
            ({**trail, **prefix}, "LogKeyPrefix=AWSLogs/"),
            ({**trail, "LogKeyPrefix": ""}, "LogKeyPrefix=AWSLogs/"),
        ]
        for given, named in incomplete:
            (refusal,) = render.Stack(self.template, given).refusals
            self.assertIn(named, refusal)

    @for_each_stack
    def test_the_cases_are_such_as_can_be_deployed(self, stack):
        self.assertEqual(stack.refusals, [])

    def test_the_example_settings_can_be_deployed(self):
        settings = tomlkit.parse((render.ROOT / "samconfig.example.toml").read_text())
        sections = {name: own["deploy"]["parameters"] for name, own in settings.items() if name != "version"}
        self.assertEqual(set(sections), {"default", "existing"})
        for name, own in sections.items():
            given = dict(one.split("=", 1) for one in own["parameter_overrides"])
            self.assertEqual(render.Stack(self.template, given).refusals, [], name)

    def test_large_defaults_stay_as_they_are_written(self):
        for name, own in self.template["Parameters"].items():
            if own["Type"] == "Number":
                self.assertRegex(str(own["Default"]), r"^\d+$", name)
                self.assertTrue(isinstance(own["Default"], str) or own["Default"] < 1000000, name)
