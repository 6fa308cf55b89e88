"""What an installation needs: arithmetic over figures that were measured on one small machine.

Pure: knows no settings and no server. `demand` is what is asked, `measurements` what is known,
`planning` what follows, `cost` what of it is dear.
"""
