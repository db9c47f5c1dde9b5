"""What is served beside the pages, under ``/api``, on the app's own port.

    GET /api/docs           what there is, as a page
    GET /api/openapi.json   the same for programs: OpenAPI 3.1
    GET /api/metrics        figures for Prometheus, see `ops.metrics`
    GET /api/...            events, instances, causality: `routes.ROUTES`

With XCSTORE_API_TOKEN set, each request needs ``Authorization: Bearer TOKEN``, but for the first two.
"""

from xcstore.api.app import create_api

__all__ = ["create_api"]
