"""What pyproject.toml can't say: a wheel also holds the AI Action and the embedded checkpoint, inside the package."""

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py


class BuildModules(build_py):
    """Leave this file out of the wheel: the AI Action's folder in it is the top of the checkout."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Return the package, name and file of each module."""
        return [module for module in super().find_package_modules(package, package_dir) if module[1] != "setup"]


setup(
    packages=[
        *find_namespace_packages(include=["block", "block.*"], exclude=["*.__pycache__"]),
        "block.action",
        "block.embedded",
    ],
    # Folders of a checkout, and the places in a wheel where block/runtime/places.py finds them.
    package_dir={"block.action": ".", "block.embedded": "models"},
    cmdclass={"build_py": BuildModules},
)
