"""The search report: a record as one HTML file (`html.render_html`) and as a table (`text.leaderboard`)."""
