"""A client made with nostr-sdk: signs, encrypts and decrypts through the bunker whose address is the first argument.

Prints one JSON value a line for each thing that it did.
"""

import asyncio
import json
import sys
from datetime import timedelta
from typing import Any

from nostr_sdk import EventBuilder, Keys, Kind, NostrConnect, NostrConnectUri, nip44_decrypt, uniffi_set_event_loop


def say(**values: Any) -> None:
    print(json.dumps(values), flush=True)


async def main(address: str) -> None:
    uniffi_set_event_loop(asyncio.get_running_loop())
    friend = Keys.generate()
    signer = NostrConnect(NostrConnectUri.parse(address), Keys.generate(), timedelta(seconds=20), None)
    author = await signer.get_public_key_async()
    assert author is not None
    say(did="get_public_key", author=author.to_hex())
    for kind in (1, 7, 30023):
        unsigned = EventBuilder(Kind(kind), "héllo 🦀").finalize_unsigned(author)
        event = await signer.sign_event_async(unsigned)
        assert event is not None
        say(did="sign_event", event=json.loads(event.as_json()))
    sealed = await signer.nip44_encrypt_async(friend.public_key(), "for you")
    say(did="nip44_encrypt", opened=nip44_decrypt(friend.secret_key(), author, sealed))
    say(did="nip44_decrypt", opened=await signer.nip44_decrypt_async(friend.public_key(), sealed))
    sealed = await signer.nip04_encrypt_async(friend.public_key(), "for you")
    say(did="nip04_decrypt", opened=await signer.nip04_decrypt_async(friend.public_key(), sealed))
    many = [signer.sign_event_async(EventBuilder(Kind(1), f"note {n}").finalize_unsigned(author)) for n in range(20)]
    say(did="burst", ids=sorted({event.id().to_hex() for event in await asyncio.gather(*many) if event}))


asyncio.run(main(sys.argv[1]))
