"""Payment gateways: what they tell by webhooks, and how they are asked. One file a gateway; facts.py is for all."""
