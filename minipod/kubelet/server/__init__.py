"""What the API server asks of this node: logs, exec, attach, and the node's own pages."""
