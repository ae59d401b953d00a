"""Secret references and the one redactor."""
