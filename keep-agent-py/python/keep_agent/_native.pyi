class NativeError(Exception):
    args: tuple[str, str, str, str]

class Connection:
    def __init__(
        self,
        scope: str | None = None,
        token: str | None = None,
        key: str | None = None,
        home: str | None = None,
        in_process: bool = False,
    ) -> None: ...
    def call(self, name: str, parameters: str) -> str: ...
    def close(self) -> None: ...

def error_codes() -> list[tuple[str, str]]: ...
