"""From a Pod and an image to what the runtime is asked for: sandbox and container documents, files, cgroups. Pure."""
