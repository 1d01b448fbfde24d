"""Component: may the challenger take the champion's place?"""
