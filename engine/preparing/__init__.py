"""Inside a preparer: templates, tokens, grammars, within a time limit."""
