"""What the verbs print: tables, JSONPath, custom columns, YAML and JSON, laid out as kubectl does."""
