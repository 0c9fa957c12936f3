# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup port_map: find and read the files of a port map."""

from __future__ import annotations

DOCUMENTATION = r"""
name: port_map
author: The alfred.portmap authors (@alfred-portmap)
version_added: 1.0.0
short_description: Find and read the files of a port map
description:
  - Reads the port map and the fragments beside it, C(port_map.d/*.yml) in the order of their names, as text.
  - The files are data. Nothing in them is templated or decrypted.
options:
  _terms:
    description: None are taken.
  file:
    description:
      - The port map's file. A relative path is searched from the working directory.
      - Without one it is C(port_map.yml) in the inventory's folder, else in the folder above. With several inventory sources
        it must be given.
    type: str
seealso:
  - plugin: alfred.portmap.plan
    plugin_type: filter
    description: What to do with the files.
"""

EXAMPLES = r"""
- name: Plan the whole inventory
  ansible.builtin.set_fact:
    port_map_plan: >-
      {{ query('alfred.portmap.port_map')
         | alfred.portmap.plan(inventory=hostvars | alfred.portmap.inventory(groups), environment='production') }}
  run_once: true
"""

RETURN = r"""
_list:
  description: The files, the main one first.
  type: list
  elements: dict
  contains:
    path:
      description: The file's path from the folder above the port map's, the same in every checkout.
      type: str
    text:
      description: What it holds.
      type: str
"""

import os
import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.alfred.portmap.plugins.plugin_utils._source import SourceError, read_documents


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core has no types
    """The lookup port_map."""

    def run(self, terms: list[t.Any], variables: t.Any = None, **kwargs: t.Any) -> list[dict[str, str]]:
        """See DOCUMENTATION."""
        self.set_options(var_options=variables, direct=kwargs)
        if terms:
            raise AnsibleLookupError("the lookup port_map takes no terms, only the option file")
        path = str(self.get_option("file") or _default_file(variables or {}))
        try:
            return read_documents(os.path.expanduser(path))
        except SourceError as error:
            raise AnsibleLookupError(str(error)) from error


def _default_file(variables: t.Mapping[str, t.Any]) -> str:
    sources = [str(source) for source in variables.get("ansible_inventory_sources") or []]
    if len(sources) != 1 or "," in sources[0]:
        raise AnsibleLookupError(f"set port_map_file: with {len(sources)} inventory sources the port map has no default place")
    folder = sources[0] if os.path.isdir(sources[0]) else os.path.dirname(os.path.abspath(sources[0]))
    places = [os.path.join(folder, "port_map.yml"), os.path.join(os.path.dirname(os.path.abspath(folder)), "port_map.yml")]
    for place in places:
        if os.path.isfile(place):
            return place
    raise AnsibleLookupError(f"there is no port map at {places[0]} nor at {places[1]}: set port_map_file")
