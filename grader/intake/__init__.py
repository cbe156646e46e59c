"""What systems pack, and what lies in folders, becomes deliveries: who handed in what, when, as which attempt. Nothing is executed."""
