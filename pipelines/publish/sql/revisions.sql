-- grain: one case of one night that came out otherwise when the night was judged again
CREATE VIEW v1.revisions AS
SELECT
    "night",
    "revised",
    "household",
    "signature",
    "change",
    "case_id_before",
    "case_id_after",
    "rarity_before",
    "rarity_after",
    "rank_before",
    "rank_after"
FROM _internal.revisions;
