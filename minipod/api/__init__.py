"""The object model: Kubernetes' types and what is true of them without any I/O.

core_v1, meta_v1 (generated) are the types; codec turns them into JSON and back, scheme says which are served,
errors is how an API call fails. On its way in an object passes strict, defaults, validation and support.
"""
