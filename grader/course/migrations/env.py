"""What Alembic runs: the migrations, in the transaction of the connection that it is given."""

from typing import Any, Literal

from alembic import context

from grader.course.models import Base, Moment


def _rendered(kind: str, item: Any, _: object) -> str | Literal[False]:
    """Let a migration name types of SQLAlchemy only: it must not change when ours do."""
    return "sa.DateTime()" if kind == "type" and isinstance(item, Moment) else False


context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_item=_rendered)
context.run_migrations()
