"""Gives the cases of schemathesis ids of objects that exist and names that are free, so that they reach more than the refusals, and keeps
what all of them need from being deleted.

Loaded by schemathesis through SCHEMATHESIS_HOOKS.
"""
import itertools
import re

import schemathesis

from kafka_objects import STAYS, KafkaObjects
from service import COLLECTIONS, KEY, ROOT, Objects

objects = Objects()
kafka = KafkaObjects(objects)
turn = itertools.count()

NOBODY = "AAAAAAAAAAAAAAAA"

# What a reference in a body means, by its field.
REFERENCES = {"environment": "environment", "owner": "service-account", "resource": "cluster", "cluster": "cluster"}


@schemathesis.hook
def before_call(context, case, kwargs):
    protect_what_stays(case)
    # Every other case keeps its invented ids: most of them exist nowhere.
    number = next(turn)
    if number % 2 == 0 or not is_positive(case):
        return
    if case.path.startswith("/kafka/v3/"):
        return put_kafka_objects_into(case, kwargs, number)
    put_id_into_path(case)
    put_ids_into_query(case)
    if isinstance(case.body, dict):
        put_ids_into_references(case.body)
        if case.method.upper() == "POST":
            put_free_name(case.body)
            put_free_name(case.body.get("spec"))
            case.body = number % 4 == 1 and objects.body(kind_of(case)) or case.body


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Lets pass what is tolerated on purpose: parameters that nobody knows, and an empty page size. And the key of the run itself."""
    if type(failure).__name__ != "AcceptedNegativeData":
        return True
    wrong = re.findall(r"^\s*(?:- |Invalid component: )(.+)$", failure.message, flags=re.MULTILINE)
    return not wrong or not all(is_tolerated(one, case) for one in wrong)


def is_tolerated(wrong, case):
    # An empty list or object is written as nothing, too.
    empty_page_size = names(wrong, "page_size") and case.query.get("page_size") in ("", [], {}, None)
    own_key = "(was Authorization)" in wrong or wrong.startswith("header: ") and names(wrong, "Authorization")
    return "query: violates `additionalProperties`" in wrong or own_key or empty_page_size


def names(wrong, parameter):
    """A parameter is named in backticks where it is wrong alone, and by its place in the schema where it is not."""
    return f"`{parameter}`" in wrong or f"/properties/{parameter}" in wrong.split(" ")


def kind_of(case):
    """What the operation is about, by the beginning of its path."""
    return next((kind for kind, path in COLLECTIONS.items() if case.path == path or case.path.startswith(path + "/")), "")


def is_positive(case):
    return case.meta is None or case.meta.generation.mode.is_positive


def protect_what_stays(case):
    """schemathesis remembers the ids that it saw in answers."""
    if case.method.upper() == "DELETE" and case.path_parameters.get("topic_name") == STAYS and case.path.endswith("{topic_name}"):
        case.path_parameters = {**case.path_parameters, "topic_name": "nothing"}
    if case.method.upper() == "DELETE" or KEY in case.path_parameters.values() and case.method.upper() not in ("GET", "HEAD"):
        stays = {KEY, *objects.first_ones, *objects.kept.values()}
        case.path_parameters = {name: NOBODY if value in stays else value for name, value in case.path_parameters.items()}


def put_kafka_objects_into(case, kwargs, number):
    case.path_parameters = kafka.parameters(case)
    if "{cluster_id}" not in case.path:
        # The one operation that has nothing to tell to a Cloud key.
        kwargs["auth"] = (kafka.key, kafka.secret)
    if number % 4 == 1:
        case.query = kafka.query(case)
        body = kafka.body(case)
        case.body = body if body is not None else case.body


def put_id_into_path(case):
    kind = kind_of(case)
    if not kind or "id" not in case.path_parameters:
        return
    id = objects.new(kind) if case.method.upper() == "DELETE" else objects.keep(kind)
    if id is not None:
        case.path_parameters = {**case.path_parameters, "id": id}


def put_ids_into_query(case):
    if "spec.cluster" in case.query:
        case.query["spec.cluster"] = objects.dedicated_cluster()
    if "resource.kafka.id" in case.query:
        case.query["resource.kafka.id"] = objects.keep("cluster")
    if case.path.startswith(COLLECTIONS["applied-quota"]):
        case.query = {"scope": "ORGANIZATION"}
    if "environment" in case.query:
        case.query["environment"] = objects.keep("environment")
    if "crn_pattern" in case.query:
        case.query["crn_pattern"] = ROOT
        case.query.pop("principal", None)


def put_ids_into_references(value):
    for field, kind in REFERENCES.items():
        inner = value.get(field)
        if isinstance(inner, dict) and isinstance(inner.get("id"), str):
            inner["id"] = objects.keep(kind) or inner["id"]
    for inner in value.values():
        if isinstance(inner, dict):
            put_ids_into_references(inner)


def put_free_name(value):
    if isinstance(value, dict) and isinstance(value.get("display_name"), str):
        value["display_name"] = objects.name("made-up")
