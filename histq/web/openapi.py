"""The description of the API: OpenAPI 3.1, made of the same table that answers it."""

from typing import Any, Final

import msgspec

from histq.web.api import ENDPOINTS, Alive, Endpoint, Parameter, Ready

JSON: Final = "application/json"

_REFS: Final = "#/components/schemas/{name}"
_ERROR: Final = {
    "type": "object",
    "properties": {"schema": {"const": 1}, "error": {"type": "string"}},
    "required": ["schema", "error"],
}
_TEXT: Final = {"type": "string"}


def describe(version: str) -> dict[str, Any]:
    """The document, as JSON writes it."""
    documents = [Alive, Ready, *(endpoint.document for endpoint in ENDPOINTS)]
    schemas, components = msgspec.json.schema_components(documents, ref_template=_REFS)
    answers = {
        document: _content(JSON, {"allOf": [_VERSIONED, schema]})
        for document, schema in zip(documents, schemas, strict=True)
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "histq", "version": version},
        "security": [{}, {"bearer": []}, {"password": []}],
        "paths": {
            "/healthz": _get("Whether the process answers", {200: answers[Alive]}),
            "/readyz": _get("Whether all is well", {200: answers[Ready], 503: answers[Ready]}),
            "/metrics": _get("Figures for Prometheus", {200: _content("text/plain", _TEXT)}),
            **{one.path: _endpoint(one, answers[one.document]) for one in ENDPOINTS},
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic"},
            },
        },
    }


_VERSIONED: Final = {
    "type": "object",
    "properties": {"schema": {"const": 1}},
    "required": ["schema"],
}


def _endpoint(endpoint: Endpoint, answer: dict[str, Any]) -> dict[str, Any]:
    refused = _content(JSON, _ERROR)
    found = _get(endpoint.about, {200: answer, 400: refused, 404: refused, 503: refused})
    found["get"]["parameters"] = [_parameter(one) for one in endpoint.parameters]
    return found


def _get(about: str, answers: dict[int, dict[str, Any]]) -> dict[str, Any]:
    responses = {
        str(status): {"description": _MEANING[status], **answer}
        for status, answer in answers.items()
    }
    return {"get": {"summary": about, "responses": responses}}


_MEANING: Final = {
    200: "The answer",
    400: "A parameter is wrong; the error says which and why",
    404: "There is no such series",
    503: "Not now; the answer says why",
}


def _content(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {media_type: {"schema": schema}}}


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": "query",
        "description": one.about,
        "required": one.required,
        "schema": one.schema,
    }
