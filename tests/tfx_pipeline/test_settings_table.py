"""The document of the settings."""

from __future__ import annotations

from tfx_pipeline import settings_table
from tfx_pipeline.settings import Settings


def test_document_is_up_to_date() -> None:
    assert settings_table.DOCUMENT.read_text(encoding="utf-8") == settings_table.markdown(), (
        "Run: python -m tfx_pipeline settings --write"
    )


def test_readme_is_up_to_date() -> None:
    text = settings_table.README.read_text(encoding="utf-8")
    assert text == settings_table.readme(text), "Run: python -m tfx_pipeline settings --write"


def test_every_setting_is_described() -> None:
    table = settings_table.markdown()
    for name, field in Settings.__fields__.items():
        assert f"`{name.upper()}`" in table
        assert field.field_info.description
