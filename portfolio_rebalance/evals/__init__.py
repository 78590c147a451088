"""Evals: does a run still follow the workflow, explain truthfully and hold every limit, under attack too?

In: scenarios, one YAML file each: a workspace, a request, what models do, how the world must stand then.
Out: scores, by code alone. A scenario is run for real (workspace, ledger, simulated venue, front door); only
the model is a transcript, a script or an attack program, and what is judged is the final state of the world.
Nothing here is imported by the product.
"""
