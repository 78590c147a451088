"""``python -m portfolio_rebalance.cli``."""

from portfolio_rebalance.cli.main import main

raise SystemExit(main())
