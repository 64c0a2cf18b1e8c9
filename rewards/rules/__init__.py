"""Consensus rules: one small file each, behind one interface (`rewards.consensus.Rule`)."""
