#!/bin/sh
#SBATCH --job-name=resnet --nodes=2 --ntasks-per-node=1 --exclusive --requeue
# One worker a node: `sbatch docs/slurm.sh --recipe resnet18-flip --train-dir /shared/runs/r18 --data-dir /shared/data`
# Tried with stand-ins for scontrol and srun, not on a Slurm cluster.
WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:2222"/' | paste -sd, -)
export WORKERS
srun --kill-on-bad-exit=1 sh -c 'TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]},
  \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}" exec python -m graph_resnet.train "$@"' sh "$@"
