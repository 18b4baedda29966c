"""Eyes on the server's side. psutil is imported when first used."""
