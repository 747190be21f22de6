"""python -m histq"""

from histq.cli import main

main()
