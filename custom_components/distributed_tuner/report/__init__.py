"""The search report: a `SearchRecord` as one HTML file (`html.render_html`) and as a terminal table (`text.leaderboard`)."""
