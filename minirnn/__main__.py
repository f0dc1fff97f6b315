"""python -m minirnn: the commands of minirnn.cli."""

from minirnn.cli import main

if __name__ == "__main__":
    main()
