"""PDF: a document of pages, tables and text, written in one pass. Begin with `writer`."""
