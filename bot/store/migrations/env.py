"""What Alembic runs: the migrations, inside the transaction that ``engine.py`` opened and locked."""

from alembic import context

from bot.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a table in place
    transactional_ddl=True,  # both stores undo a migration that fails half-way
)
context.run_migrations()
