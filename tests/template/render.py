"""template.yaml as CloudFormation gets to see it: SAM's own transform, then conditions and parameters put in.

What is known before a deployment is put in; names that only a deployment gives stay as `${Resource}` or
`${Resource.Attribute}`.
"""

import copy
import json
import logging
import os
import pathlib
import re

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

ROOT = pathlib.Path(__file__).parents[2]
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "metering",
    "AWS::URLSuffix": "amazonaws.com",
}
# What is not documented of rules: how a list that is not given comes, and whether something holds for each member of none.
READINGS = [(members, of_none) for members in ([""], []) for of_none in (True, False)]
NO_VALUE = object()

# It would say that it publishes no metrics of itself.
logging.getLogger("samtranslator").setLevel(logging.ERROR)


class NoPolicies:
    """SAM's managed policies, of which the template uses none."""

    def load(self):
        return {}


def source():
    """template.yaml itself, with intrinsic functions in their long form."""
    return yaml_parse((ROOT / "template.yaml").read_text())


def transformed():
    """template.yaml after SAM's transform."""
    os.environ.setdefault("AWS_DEFAULT_REGION", PSEUDO["AWS::Region"])
    template = source()
    for resource in template["Resources"].values():
        # The transform wants packages where `sam deploy` puts them.
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://packages/" + resource["Properties"]["CodeUri"]
    return transform(template, {}, NoPolicies())


class Stack:
    """The stack that given parameters make, by one of the readings of rules."""

    def __init__(self, template, given, reading=READINGS[0]):
        self.template = copy.deepcopy(template)
        self.members_not_given, self.holds_for_none = reading
        unknown = set(given) - set(template["Parameters"])
        if unknown:
            raise KeyError(f"no such parameter: {unknown}")
        self.parameters = {name: given.get(name, own.get("Default")) for name, own in template["Parameters"].items()}
        missing = [name for name, value in self.parameters.items() if value is None]
        if missing:
            raise KeyError(f"parameters without a value: {missing}")
        self.conditions = {}
        self.references = set()
        # Why CloudFormation would not take these parameters.
        self.refusals = [
            own["AssertDescription"]
            for rule in self.template["Rules"].values()
            if "RuleCondition" not in rule or self.truth(rule["RuleCondition"])
            for own in rule["Assertions"]
            if not self.truth(own["Assert"])
        ]
        self.resources = {
            name: self.resolve(resource)
            for name, resource in self.template["Resources"].items()
            if self.holds(resource.get("Condition"))
        }
        self.outputs = {
            name: self.resolve(output)
            for name, output in self.template["Outputs"].items()
            if self.holds(output.get("Condition"))
        }

    def of_type(self, kind):
        """Properties of all resources of a type, by name."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def holds(self, condition):
        if condition is None:
            return True
        if condition not in self.conditions:
            self.conditions[condition] = self.truth(self.template["Conditions"][condition])
        return self.conditions[condition]

    def truth(self, node):
        ((function, arguments),) = node.items()
        if function == "Condition":
            return self.holds(arguments)
        if function == "Fn::Equals":
            left, right = (self.resolve(argument) for argument in arguments)
            return str(left) == str(right)
        if function == "Fn::EachMemberIn":
            members, values = (self.resolve(argument) for argument in arguments)
            return set(members) <= set(values) if members else self.holds_for_none
        if function == "Fn::Not":
            return not self.truth(arguments[0])
        if function == "Fn::And":
            return all([self.truth(argument) for argument in arguments])
        if function == "Fn::Or":
            return any([self.truth(argument) for argument in arguments])
        raise ValueError(f"unknown condition function {function}")

    def resolve(self, node):
        if isinstance(node, list):
            return [value for value in map(self.resolve, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((function, arguments),) = node.items()
            known = {
                "Ref": self.ref,
                "Fn::GetAtt": self.attribute,
                "Fn::If": self.choose,
                "Fn::Sub": self.substitute,
                "Fn::Join": lambda own: own[0].join(map(str, self.resolve(own[1]))),
            }
            if function in known:
                return known[function](arguments)
            if function.startswith("Fn::"):
                raise ValueError(f"unknown function {function}")
        resolved = {key: self.resolve(value) for key, value in node.items() if key != "Condition" or isinstance(value, dict)}
        return {key: value for key, value in resolved.items() if value is not NO_VALUE}

    def ref(self, name):
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            value = self.parameters[name]
            if self.template["Parameters"][name]["Type"] == "CommaDelimitedList":
                return value.split(",") if value else list(self.members_not_given)
            return value
        self.references.add(name)
        return "${" + name + "}"

    def attribute(self, arguments):
        name, attribute = arguments.split(".", 1) if isinstance(arguments, str) else arguments
        self.references.add(name)
        return "${" + f"{name}.{attribute}" + "}"

    def choose(self, arguments):
        condition, then, otherwise = arguments
        return self.resolve(then if self.holds(condition) else otherwise)

    def substitute(self, arguments):
        text, own = arguments if isinstance(arguments, list) else (arguments, {})

        def put(match):
            name = match.group(1)
            if name in own:
                return str(self.resolve(own[name]))
            return str(self.attribute(name) if "." in name else self.ref(name))

        return re.sub(r"\$\{([A-Za-z0-9:.]+)\}", put, text).replace("${!", "${")


def everything():
    """The stack with all that is optional, as a template without conditions, for linters that look at what is there."""
    from cases import CASES

    stack = Stack(transformed(), CASES["everything, own keys"])
    optional = Stack(transformed(), CASES["an existing bucket"]).resources
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {**optional, **stack.resources}}


if __name__ == "__main__":
    print(json.dumps(everything(), indent=1))
