import pytest


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("나는 학생이다. I am a student.\n" * 40, encoding="utf-8")
    return path
