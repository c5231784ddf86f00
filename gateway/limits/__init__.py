"""What is limited, counted: in this process, or in a Redis that several gateways share."""
