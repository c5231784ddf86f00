"""The two files that `corral init` writes for the operator to change. Only what differs from the defaults
is set, so that a default that a later version makes safer reaches homes that exist."""

FIRST_TEAM = "default"

CONFIG_YAML = """\
# The machine: listeners, TLS, engine, upstreams. Read at start; all faults are listed together.
# Everything left out has its default, shown here behind '#'. Paths are relative to this directory.

# public:                 # the API, for teams; TLS always
#   address: 127.0.0.1    # an IP address; 0.0.0.0 opens it to the networks that policy.yaml allows
#   port: 8443
# admin:                  # metrics and administration; leave it on loopback
#   address: 127.0.0.1
#   port: 8444
console:                  # pages in a browser for those who review the log and run the teams: docs/console.md
  enabled: true           # on loopback, until policy.yaml lists networks for it and people are proven
#   port: 8445

# tls:                    # made by corral init; clients trust tls/ca.pem
#   certificate: tls/server.pem
#   key: tls/server.key

# engine:                 # the own pool; every model of the store unless 'models' lists some, [] for none
#   slots: 8              # requests that one worker runs together; left out, planned for the memory here
#   context_tokens: 4096  # what each of them may use; left out, planned up to this

# upstreams:              # model servers that already run
#   - name: lab
#     kind: ollama
#     url: http://127.0.0.1:11434
"""

POLICY_YAML = """\
# The people: who may call, from where, how much. Everything that is not allowed here is refused.

networks:
  allow: ["127.0.0.0/8", "::1/128"]   # loopback only; add the networks of your callers in CIDR notation

teams:
  default:
    models: ["*"]                     # every model; or a list of names such as "smollm2:135m"
    # networks: {allow: ["10.0.0.0/8"]}   # narrows the list above for this team
    # key_limits:                     # for each key of the team
    #   requests_per_minute: 600
    #   concurrent_requests: 32
    # limits:                         # for the whole team; none without it
    #   output_tokens_per_minute: 20000
    #   tokens_per_month: 50000000    # prompt and output together, by the calendar in UTC
    #   mode: report                  # records what it would refuse; leave it out to refuse
"""
