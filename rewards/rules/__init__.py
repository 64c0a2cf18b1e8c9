"""Consensus rules: one small file each, behind one interface (`rewards.rules.consensus.Rule`)."""
