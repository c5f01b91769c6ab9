"""What views return. Flask's own alias cannot be evaluated at run time, as describing the routes needs."""

from typing import Any, TypeAlias

from flask import Response
from werkzeug.wrappers import Response as WerkzeugResponse

Body: TypeAlias = Response | dict[str, Any]
ViewResult: TypeAlias = WerkzeugResponse | tuple[Body, int] | tuple[Body, int, dict[str, str]]
