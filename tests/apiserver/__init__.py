"""An API server in this process, for exactly the verbs the launcher uses, spoken to over HTTP by the real client.

state       objects, versions, history, garbage collection; what etcd and the storage layer decide
schema      which fields an object may have, from the schemas in kubernetes-validate
http        the wire: paths, status codes, pages, watches, logs, and faults that a test asks for
clients     what helm and kubectl ask beside objects: discovery, OpenAPI, protobuf
controller  a Job controller: Pods, podFailurePolicy, backoffLimit, deadline, suspension
kubelet     a scheduler and a kubelet that run `sh -c` for real; or a test plays them by writing statuses
"""
