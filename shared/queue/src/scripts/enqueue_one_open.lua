open_parts()
return {}
