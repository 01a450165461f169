"""How those who lend room come by an invitation, and how they go."""
