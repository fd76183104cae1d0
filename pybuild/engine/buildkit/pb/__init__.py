"""BuildKit's messages: `.proto` files, and what scripts/protos.py makes of them."""
