"""The wire format of LLB: protobuf messages, declared once, written with the bytes that BuildKit's Go client writes.

`codec` knows protobuf and nothing of LLB; `messages` declares `pb.Op` and `pb.Definition` over the graph's own values.
"""
